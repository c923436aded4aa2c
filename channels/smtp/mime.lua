-- SPDX-License-Identifier: Apache-2.0
--- RFC 5322 messages: headers with RFC 2047 words, text and HTML in quoted-printable (RFC 2045, section 6.7).

local M = {}

local CRLF = "\r\n"
local LINE = 76

--- An address that can stand in a header and an SMTP command as it is.
function M.address_ok(text)
  return type(text) == "string" and #text <= 254 and text:match("^[^%s%c<>,;:\"()@]+@[^%s%c<>,;:\"()@]+$") ~= nil
end

--- Header text on one line: line ends and other control characters become blanks, so nothing can be injected.
local function one_line(text)
  return (tostring(text):gsub("[%c\127]+", " "))
end

--- Splits UTF-8 text between characters into pieces of at most size bytes.
local function pieces(text, size)
  local list, from = {}, 1
  while from <= #text do
    local to = math.min(from + size - 1, #text)
    while to < #text and to > from and text:byte(to + 1) >= 0x80 and text:byte(to + 1) < 0xC0 do
      to = to - 1
    end
    list[#list + 1] = text:sub(from, to)
    from = to + 1
  end
  return list
end

--- Unstructured header text: as it is when it is short ASCII, else RFC 2047 words of at most 75 characters.
function M.encode_words(text, base64)
  text = one_line(text)
  if not text:find("[\128-\255]") and not text:find("=?", 1, true) and #text <= 900 then
    return text
  end
  local words = {}
  for i, piece in ipairs(pieces(text, 45)) do
    words[i] = "=?utf-8?B?" .. base64(piece) .. "?="
  end
  return table.concat(words, CRLF .. " ")
end

--- Folds plain text at blanks so that lines stay within 78 characters where they can.
local function fold(name, text)
  local lines, line = {}, name .. ":"
  for word in text:gmatch("[^ ]+") do
    if #line + 1 + #word > 78 and line ~= name .. ":" then
      lines[#lines + 1] = line
      line = ""
    end
    line = line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, CRLF)
end

local function header(name, text)
  if text:find(CRLF, 1, true) then
    return name .. ": " .. text
  end
  return fold(name, text)
end

--- Quoted-printable; a line never ends in a blank and never begins with a dot.
function M.quoted_printable(text)
  local out = {}
  text = text:gsub("\r\n", "\n"):gsub("\r", "\n")
  for line in (text .. "\n"):gmatch("(.-)\n") do
    local current = ""
    local function put(token)
      if #current + #token > LINE - 1 then
        out[#out + 1] = current .. "="
        current = ""
      end
      if current == "" and token == "." then
        token = "=2E"
      end
      current = current .. token
    end
    for i = 1, #line do
      local byte = line:byte(i)
      local blank = byte == 32 or byte == 9
      if (byte > 32 and byte < 127 and byte ~= 61) or (blank and i < #line) then
        put(string.char(byte))
      else
        put(string.format("=%02X", byte))
      end
    end
    out[#out + 1] = current
  end
  return table.concat(out, CRLF)
end

local function part(kind, text)
  return "Content-Type: text/" .. kind .. "; charset=utf-8" .. CRLF .. "Content-Transfer-Encoding: quoted-printable" .. CRLF
    .. CRLF .. M.quoted_printable(text) .. CRLF
end

local function list(value)
  if type(value) == "table" then
    return table.concat(value, ", ")
  end
  return value
end

local DAYS = { [0] = "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" } -- 1970-01-01 was a Thursday
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

--- "Fri, 02 Jan 2026 03:04:05 +0000" from ms since 1970 UTC.
function M.date(ms)
  local seconds = ms // 1000
  local days, rest = seconds // 86400, seconds % 86400
  -- Days to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
  local z = days + 719468
  local era = z // 146097
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local day = doy - (153 * mp + 2) // 5 + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format("%s, %02d %s %04d %02d:%02d:%02d +0000", DAYS[days % 7], day, MONTHS[month], year, rest // 3600,
    rest // 60 % 60, rest % 60)
end

local function from_header(mail)
  if not mail.from_name or mail.from_name == "" then
    return mail.from
  end
  local name = one_line(mail.from_name)
  if name:find("[^%w ]") then
    name = name:find("[\128-\255]") and M.encode_words(name, mail.base64) or '"' .. name:gsub('[\\"]', "\\%0") .. '"'
  end
  return name .. " <" .. mail.from .. ">"
end

--- The whole message with CRLF line ends. Bcc never appears in it.
function M.build(mail)
  local lines = {
    header("Date", M.date(mail.date)),
    header("From", from_header(mail)),
    header("To", list(mail.to)),
  }
  local function add(name, text)
    if text then
      lines[#lines + 1] = header(name, text)
    end
  end
  add("Cc", mail.cc and list(mail.cc))
  add("Reply-To", mail.reply_to)
  add("Subject", M.encode_words(mail.subject or "", mail.base64))
  add("Message-ID", mail.id)
  if mail.in_reply_to then
    local reply = one_line(mail.in_reply_to)
    reply = reply:match("^<.*>$") and reply or "<" .. reply .. ">"
    add("In-Reply-To", reply)
    add("References", reply)
  end
  add("Auto-Submitted", "auto-generated")
  add("MIME-Version", "1.0")
  local top = table.concat(lines, CRLF) .. CRLF
  if not mail.html then
    return top .. part("plain", mail.body or "")
  end
  local mark = "--" .. mail.boundary
  return top .. 'Content-Type: multipart/alternative; boundary="' .. mail.boundary .. '"' .. CRLF .. CRLF
    .. mark .. CRLF .. part("plain", mail.body or "")
    .. mark .. CRLF .. part("html", mail.html)
    .. mark .. "--" .. CRLF
end

return M
