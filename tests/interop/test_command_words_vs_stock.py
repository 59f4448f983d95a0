"""Words of a command line, compared with what stock Salt reads in them.

The differences, each on purpose: text that only a `#` keeps from being plain text stays text
(`x: y #z`, which stock Salt takes for a map); `>` and `!` are themselves; a key twice is refused
before YAML knows that `true` and `True` are one.
"""

from __future__ import annotations

import random

from greensalt.client.arguments import parse_args
from tests.interop._stock_answers import stock_args

WORDS = """
word|1|-1|+1|1.|.5|1.5|1e3|1.0e+5|1e5|0|00|010|0123|08|0x1f|0o10|0b11|1_000|1__0|_1|1_|-0|0.0|-0.0
true|True|TRUE|yes|No|on|OFF|y|n|None|none|null|Null|~|NULL|TRue| |  | 1|1 |a | a|[1,2]|[1, a]
[1 2]|[]|{}|{a: 1}|{a:1}|{"a": "b"}|{a}|{a, b}|{1: 2}|{a: 1,}|[a,]|{x: yes}|{x: 010}|{x: 1_000}
[0x1f, 0o7]|{a: 1|[1|a: b|a:b|a: b: c|key: [|? a|- a|- |-|---|...|--- a|"q"|'q'|"1"|'a|"a|'a'b
"a\\nb"|'it''s'|#c|a #c|a#b|# |'#'|"#x"|'x # y'|True #x|{#}|[#]|{a: #}|{a: 1} # c|[1] #x|null #x
@foo|*|*a|&a|%x|&a b|2026-01-01|2026-01-01 10:00:00|{"2026-01-01": 2026-01-01}|10:30|1:30
190:20:30|1,000|1, 2|,|:|a:|:a|=|a=|=a|a=b|a=1|a=b=c|a==b|a b=c|a-b=c|1a=b|_a=1|a.b=c|a={x: 1}
a="q"|a=None|a='1'|a=#x|a=a #x|a= 1|http://x/?a=b|--a=b|ä=1|__kwarg__=True|a=|a=True|a=[]|x=y # z
x = 1|foo=bar: baz|a=10:30|a=1_000|20261122210748649876|12345678901234567890
20261122210748649876123|20261122210748649876_12|a=20261122210748649876|[20261122210748649876]|.inf
.nan|inf|nan|1.0.0|1.10|{{ x }}|{%x%}|$x|${x}|!!int "3"|!!binary aGk=|!!set {a}|{<<: {a: 1}}
{a: 1, a: 2}|[1,,2]|é|日本|{日: 本}|(1,2)|u'x'|~/x|/tmp/x=y|C:\\x|user@host|50%|salt://a/b.txt
os:Debian|G@os:x|a and not b|$(x)|a;b|a>b|x!y
""".replace("\n", "|").split("|")  # fmt: skip
MORE = ["|", "a\nb", "a: 1\nb: 2", "- a\n- b", "a=x\ny", "{a: 1}\n", "a=\n", "1\n", "\ttab", "a\tb"]


def test_single_words() -> None:
    words = [[word] for word in WORDS + MORE]
    assert {word[0]: repr(parse_args(word)) for word in words} == {
        word[0]: answer for word, answer in zip(words, stock_args(words), strict=True)
    }


def test_whole_command_lines() -> None:
    dice = random.Random(4)
    lines = [dice.sample(WORDS + MORE, 5) for _ in range(300)]
    for line, answer in zip(lines, stock_args(lines), strict=True):
        assert repr(parse_args(line)) == answer, line


def test_random_words() -> None:
    dice = random.Random(5)
    # Without "#", ">" and "!": see above.
    alphabet = "ab1 0-_:=,[]{}'\"&*|%@`~.\n\t?ne"
    words = [["".join(dice.choices(alphabet, k=dice.randint(1, 8)))] for _ in range(3000)]
    for word, answer in zip(words, stock_args(words), strict=True):
        assert repr(parse_args(word)) == answer, word
