/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/vm_fixture.h"

/* Legal code, also heavy code, works within the default limits and means what the manual says. */

struct program {
    const char *body, *json;
};

static void run_programs(const struct program *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect_result(list[i].body, list[i].json);
}
#define RUN(list) run_programs(list, sizeof(list) / sizeof(list[0]))

static void test_heavy_programs(void **state)
{
    static const struct program list[] = {
        {"local t = {} for i = 1, 10000 do t[i] = (i * 7919) % 10007 end table.sort(t)"
         " for i = 2, #t do if t[i - 1] > t[i] then return 'wrong' end end return {#t, t[1], t[10000]}",
            "[10000,1,10006]"},
        {"local t = {} for i = 1, 10000 do t[i] = (i * 7919) % 10007 end table.sort(t, function(a, b) return a > b end)"
         " return {t[1], t[10000]}",
            "[10006,1]"},
        {"local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end return depth(5000)", "5000"},
        {"local fib = setmetatable({}, {__index = function(t, n) local v = n < 2 and n or t[n - 1] + t[n - 2] t[n] = v "
         "return v end})"
         " return fib[80]",
            "23416728348467685"},
        {"local parts = {} for i = 1, 5000 do parts[#parts + 1] = ('%05d;%s'):format(i, tostring(i % 7)) end"
         " local s = table.concat(parts, '\\n') return #s",
            "39999"},
        {"local n = 0 for w in (('lorem ipsum dolor sit amet '):rep(400)):gmatch('%a+') do n = n + #w end return n",
            "8800"},
        {"local s = ('<b>x</b> & y '):rep(300):gsub('[<>&]', {['<'] = '&lt;', ['>'] = '&gt;', ['&'] = '&amp;'}) return "
         "#s",
            "8700"},
        {"local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end"
         " local sum = 0 for i = 1, 50 do for v in gen(50) do sum = sum + v end end return sum",
            "63750"},
        {"local q = {} for i = 1, 3000 do table.insert(q, i) end local s = 0 while #q > 0 do s = s + table.remove(q) "
         "end return s",
            "4501500"},
        {"local t = {} for i = 1, 200 do table.insert(t, 1, i) end for i = 1, 100 do table.remove(t, 1) end return "
         "{#t, t[1]}",
            "[100,100]"},
        {"local fs = {} for i = 1, 2000 do fs[i] = function(x) return x + i end end local s = 0 for _, f in ipairs(fs) "
         "do s = f(s) end return s",
            "2001000"},
        {"local m = {} for i = 1, 40 do m[i] = {} for j = 1, 40 do m[i][j] = i * j end end local s = 0"
         " for i = 1, 40 do for j = 1, 40 do s = s + m[i][j] end end return s",
            "672400"},
        {"local s = ('x'):rep(200000) return {#s, #s:upper(), s:sub(-3), (s:find('y', 1, true))}",
            "[200000,200000,\"xxx\"]"},
        {"local ok = 0 for i = 1, 3000 do if not pcall(error, {code = 'x'}) then ok = ok + 1 end end return ok",
            "3000"},
        {"local t = {} for i = 1, 3000 do t['key' .. i] = {id = i, name = 'n' .. i} end local n = 0 for k, v in "
         "pairs(t) do n = n + v.id end return n",
            "4501500"},
        {"local function perm(a, n, out) if n == 0 then out[#out + 1] = table.concat(a) return out end"
         " for i = 1, n do a[n], a[i] = a[i], a[n] perm(a, n - 1, out) a[n], a[i] = a[i], a[n] end return out end"
         " return #perm({1, 2, 3, 4, 5, 6}, 6, {})",
            "720"},
    };
    RUN(list);
    expect_result("local live for i = 1, 1000 do live = ('k'):rep(10000) .. i end return #live", "10004");
    expect_result("local h = 0 for i = 1, 3 do h = (h * 31 + i) & 0xffffffff end return h", "1026");
}

static void test_classes_and_metatables(void **state)
{
    static const struct program list[] = {
        {"local P = {} P.__index = P function P.new(x) return setmetatable({x = x}, P) end function P:get() return "
         "self.x end"
         " local Q = setmetatable({}, {__index = P}) Q.__index = Q function Q.new(x) return setmetatable(P.new(x), Q) "
         "end"
         " function Q:twice() return self:get() * 2 end return {Q.new(4):twice(), getmetatable(Q.new(1)) == Q}",
            "[8,true]"},
        {"local V = {} V.__add = function(a, b) return setmetatable({v = a.v + b.v}, V) end V.__eq = function(a, b) "
         "return a.v == b.v end"
         " V.__lt = function(a, b) return a.v < b.v end V.__le = function(a, b) return a.v <= b.v end V.__len = "
         "function(a) return a.v end"
         " V.__call = function(a, n) return a.v + n end V.__unm = function(a) return -a.v end V.__tostring = "
         "function(a) return 'v' .. a.v end"
         " V.__idiv = function(a, b) return 7 end V.__band = function() return 8 end"
         " local function v(n) return setmetatable({v = n}, V) end local a, b = v(1), v(2)"
         " return {(a + b).v, a == v(1), a < b, a >= b, #b, b(5), -b, tostring(b), a // b, a & b}",
            "[3,true,true,false,2,7,-2,\"v2\",7,8]"},
        {"local log = {} local p = setmetatable({}, {__index = function(_, k) log[#log + 1] = k return k .. '!' end,"
         " __newindex = function(t, k, v) rawset(t, k, v * 2) end}) p.x = 4 return {p.x, p.y, #log}",
            "[8,\"y!\",1]"},
        {"local t = setmetatable({}, {__pairs = function(t) return function(_, k) if not k then return 1, 2 end end, "
         "t, nil end})"
         " local r = {} for k, v in pairs(t) do r[#r + 1] = {k, v} end return r",
            "[[1,2]]"},
        {"local order = {} do local a <close> = setmetatable({}, {__close = function() order[#order + 1] = 'a' end})"
         " local b <close> = setmetatable({}, {__close = function() order[#order + 1] = 'b' end}) end return order",
            "[\"b\",\"a\"]"},
        {"local d = setmetatable({}, {__metatable = 'locked', __name = 'door'}) return {getmetatable(d), "
         "(tostring(d):gsub(' %x+', ''))}",
            "[\"locked\",\"door:\"]"},
        {"local o = setmetatable({}, {}) setmetatable(o, nil) return {getmetatable(o) == nil}", "[true]"},
    };
    RUN(list);
}

static void test_numbers_and_text(void **state)
{
    static const struct program list[] = {
        {"return {7 // 2, -7 // 2, 7 % -3, 7 / 2, 2^10, 1 << 62, 3 | 4, ~0, math.maxinteger + 1 == math.mininteger}",
            "[3,-4,-2,3.5,1024.0,4611686018427387904,7,-1,true]"},
        {"return {1 == 1.0, math.type(3 // 1), math.type(3.0 // 1), '10' + 5, '3' * '4', 10 .. 20, tonumber('0x1p4'), "
         "tonumber('z', 36)}",
            "[true,\"integer\",\"float\",15,12,\"1020\",16.0,35]"},
        {"return {tostring(1e15), tostring(2^53), tostring(-0.0), tostring(1/3), 1e100 == 10^100}",
            "[\"1e+15\",\"9.007199254741e+15\",\"-0.0\",\"0.33333333333333\",true]"},
        {"return {('%5.2f|%-5s|%05d|%x|%q|%g|%c|%%|%i'):format(3.14159, 'ab', 42, 255, 'a\\nb', 1e20, 65, 7)}",
            "[\" 3.14|ab   |00042|ff|\\\"a\\\\\\nb\\\"|1e+20|A|%|7\"]"},
        {"return {('%s %s %s'):format(nil, true, {} ~= nil), pcall(function() return ('%d'):format(1.5) end)}",
            "[\"nil true true\",false,\"init.lua:1: bad argument #1 to 'format' (number has no integer "
            "representation)\"]"},
        {"return {utf8.len('äöü'), utf8.char(228, 8364), utf8.codepoint('€', 1), utf8.offset('aäb', 3), "
         "#utf8.charpattern}",
            "[3,\"ä€\",8364,4,14]"},
        {"local r = {} for p, c in utf8.codes('aä') do r[#r + 1] = {p, c} end return r", "[[1,97],[2,228]]"},
        {"return {string.unpack('<i4', string.pack('<i4', -2)), string.packsize('i4i8'), (string.unpack('s1', "
         "string.pack('s1', 'hey')))}",
            "[-2,12,\"hey\"]"},
        {"return {('x'):rep(3, ','), ('abc'):byte(1, -1), (''):rep(5), ('ab'):rep(0), ('abc'):byte(10)}",
            "[\"x,x,x\",97,\"\",\"\"]"},
        {"return {select('#', table.unpack({1, nil, 3}, 1, 3)), select(-1, 1, 2, 3), table.pack(1, 2, 3).n}",
            "[3,3,3]"},
        {"return {table.concat({1, 2, 3}, ', ', 2, 3), table.concat({}), #table.move({1, 2, 3}, 2, 3, 1), "
         "table.unpack(table.move({1, 2, 3}, 1, 3, 2))}",
            "[\"2, 3\",\"\",3,1,1,2,3]"},
        {"local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t", "[3,2,1]"},
        {"local t = {5, 2, 8, 1, 9, 3} table.sort(t) return t", "[1,2,3,5,8,9]"},
        {"return {pcall(table.sort, {1, 'x'})}", "[false,\"attempt to compare string with number\"]"},
        {"return {pcall(table.insert, {1}, 5, 2)}", "[false,\"bad argument #2 to '?' (position out of bounds)\"]"},
        {"local f = load('local a, b = ... return a * b') return f(6, 7)", "42"},
        {"local env = {y = 5} local f = load('x = y return x', 'c', 't', env) return {f(), env.x, x == nil}",
            "[5,5,true]"},
        {"return select(2, load('x =', '=chunk'))", "\"chunk:1: unexpected symbol near <eof>\""},
        {"return {xpcall(function() error('e', 0) end, function(m) return 'h:' .. m end)}", "[false,\"h:e\"]"},
        {"return {xpcall(function(...) return select('#', ...), ... end, print, 1, 'a')}", "[true,2,1,\"a\"]"},
        {"math.randomseed(42) local a = math.random(1000) math.randomseed(42) return {a == math.random(1000), "
         "math.random() < 1}",
            "[true,true]"},
        {"goto done do return 1 end ::done:: return 2", "2"},
        {"return type(collectgarbage('count'))", "\"number\""},
    };
    RUN(list);
}

static void test_patterns(void **state)
{
    static const struct program list[] = {
        {"return {('key = value'):match('^(%w+)%s*=%s*(%w+)$')}", "[\"key\",\"value\"]"},
        {"return {('hello world'):find('o w'), ('hello'):find('l'), ('hello'):find('xyz') == nil, ('a.b'):find('.', 2, "
         "true)}",
            "[5,3,true,2,2]"},
        {"return {('hello'):find('l', -2), ('hello'):find('', 10) == nil, ('hello'):find('', 6), (''):find('')}",
            "[4,true,6,1,0]"},
        {"return {('THE (quick) fox'):find('%((%a+)%)')}", "[5,11,\"quick\"]"},
        {"return {('f(a(b)c)d'):match('%b()'), ('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)}",
            "[\"(a(b)c)\",\"the (quick) fox\",3]"},
        {"return {('hello world'):gsub('o', '0', 1), (('abc'):gsub('', '-')), (('abc'):gsub('%w', '%0%0')), "
         "(('hello'):gsub('(l)(l)', '%2%1!'))}",
            "[\"hell0 world\",\"-a-b-c-\",\"aabbcc\",\"hell!o\"]"},
        {"return {('2024-01-02'):match('(%d+)-(%d+)-(%d+)')}", "[\"2024\",\"01\",\"02\"]"},
        {"return {('  trim  '):match('^%s*(.-)%s*$'), ('abc'):match('()b()'), ('x=\"q\"'):match('([\"\\'])(.-)%1')}",
            "[\"trim\",2,\"\\\"\",\"q\"]"},
        {"return {('[]'):match('[]]'), ('a-z'):match('[a%-z]+'), ('^'):match('[%^x]'), ('b'):match('[^a]'), "
         "('-'):match('[a-]'), ('é'):match('[\\xc3][\\xa9]')}",
            "[\"]\",\"a-z\",\"^\",\"b\",\"-\",\"é\"]"},
        {"local r = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do r[k] = v end return r",
            "{\"a\":\"1\",\"b\":\"2\"}"},
        {"local r = {} for w in ('one two'):gmatch('%a*') do r[#r + 1] = w end return r", "[\"one\",\"two\"]"},
        {"return {(('abc def'):gsub('%w+', {abc = 'X', def = false})), (('x'):gsub('x', function() return nil end)), "
         "(('a b'):gsub('(%w) (%w)', '%2 %1'))}",
            "[\"X def\",\"x\",\"b a\"]"},
        {"return select(2, pcall(string.find, 'a', '[a'))", "\"malformed pattern (missing ']')\""},
        {"return select(2, pcall(string.find, 'a', 'a%'))", "\"malformed pattern (ends with '%')\""},
        {"return select(2, pcall(string.find, 'a', '(a'))", "\"unfinished capture\""},
        {"return select(2, pcall(string.gsub, 'a', 'a', '%2'))", "\"invalid capture index %2\""},
        {"return select(2, pcall(string.gsub, 'a', 'a', '%z'))", "\"invalid use of '%' in replacement string\""},
        {"return {('a\\0b'):find('\\0', 1, true)}", "[2,2]"},
        {"return {('a\\0b'):find('[%z\\0]')}", "[2,2]"},
        {"return {('aaa'):match('^a-$'), ('x'):match('x?x?x'), ('1.5e3'):match('^[+-]?%d+%.?%d*[eE]?%d*$')}",
            "[\"aaa\",\"x\",\"1.5e3\"]"},
    };
    RUN(list);
}

static void test_coroutines(void **state)
{
    static const struct program list[] = {
        {"local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end)"
         " local r = {coroutine.resume(co, 1)} r[3] = coroutine.status(co) r[4] = select(2, coroutine.resume(co, 10))"
         " r[5] = coroutine.status(co) r[6] = coroutine.resume(co) return r",
            "[true,2,\"suspended\",20,\"dead\",false]"},
        {"return {coroutine.resume(coroutine.create(function() error('x') end))}", "[false,\"init.lua:1: x\"]"},
        {"return {pcall(coroutine.wrap(function() error({code = 'c'}) end))}", "[false,{\"code\":\"c\"}]"},
        {"local closed local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() "
         "closed = true end})"
         " coroutine.yield() end) coroutine.resume(co) return {coroutine.close(co), closed, coroutine.status(co)}",
            "[true,true,\"dead\"]"},
        {"local co co = coroutine.wrap(function() return pcall(co) end) return {co()}",
            "[false,\"cannot resume non-suspended coroutine\"]"},
        {"local main, is = coroutine.running() local inner = coroutine.wrap(function() return coroutine.status(main), "
         "coroutine.isyieldable() end)"
         " return {is, coroutine.status(main), inner()}",
            "[true,\"running\",\"normal\",true]"},
        {"return {coroutine.wrap(function() return pcall(coroutine.yield, 5) end)()}", "[5]"},
        {"local function f() return coroutine.wrap(function() local r = 0 for i = 1, 10 do r = r + coroutine.yield(r) "
         "end return r end) end"
         " local a, b = f(), f() a() b() local x for i = 1, 10 do x = a(i) + b(2 * i) end return x",
            "165"},
        {"local ok, e = coroutine.resume(coroutine.running()) return {ok, e}",
            "[false,\"cannot resume non-suspended coroutine\"]"},
    };
    RUN(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heavy_programs),
        cmocka_unit_test(test_classes_and_metatables),
        cmocka_unit_test(test_numbers_and_text),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_coroutines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
