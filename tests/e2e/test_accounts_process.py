#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_accounts_use.py once more, with plugins in processes of their own."""
import harness
import test_accounts_use


class Use(test_accounts_use.Use):
    isolation = "process"


if __name__ == "__main__":
    harness.main()
