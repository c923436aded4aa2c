# SPDX-License-Identifier: Apache-2.0
# The man page, built and installed where scdoc is there.
find_program(SCDOC scdoc)
if(SCDOC)
  set(man_page ${CMAKE_BINARY_DIR}/share/man/man1/perigee.1)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/man/man1)
  add_custom_command(OUTPUT ${man_page} COMMAND ${SCDOC} < ${PROJECT_SOURCE_DIR}/docs/perigee.1.scd > ${man_page}
    DEPENDS ${PROJECT_SOURCE_DIR}/docs/perigee.1.scd VERBATIM COMMENT "man page")
  add_custom_target(man_page ALL DEPENDS ${man_page})
  install(FILES ${man_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.yaml")
# Beside rules/ as in the source tree: the examples name it as ../docs/rule.schema.json.
install(FILES docs/rule.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/perigee/docs)
