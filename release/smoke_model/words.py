"""Word lists that the generated text draws on."""

from __future__ import annotations

_WORDS = """
able acid aged also area army away baby back ball band bank base bath bear beat bell belt best
bill bird blow blue boat body bomb bond bone book boot born both bowl bulk burn bush busy call
calm camp card care cart case cash cast cell chat chip city club coal coat code cold come cook
cool cope copy core cost crew crop dark data date dawn days dead deal dean dear debt deep desk
dial diet disc disk door dose down draw drew drop dual dust duty each earn ease east easy edge
else even ever evil exit face fact fail fair fall farm fast fate feed feel feet fell file fill
film find fine fire firm fish five flat flow food foot ford form fort four free from fuel full
fund gain game gate gave gear gift girl give glad goal goes gold golf good grey grow gulf hair
half hall hand hang hard harm head hear heat held help here hero high hill hire hold hole holy
home hope host hour huge hunt idea inch into iron item join jump jury just keen keep kept kick
kind king knee knew know lack lady laid lake land lane last late lead left less life lift like
line link list live load loan lock logo long look lord lose loss lost love luck made mail main
make male many mark mass meal mean meat meet menu mile milk mill mind mine miss mode mood moon
more most move much must name navy near neck need news next nice nine none nose note okay once
open oral over pace pack page paid pain pair palm park part pass past path peak pick pink pipe
plan play plot plug plus poll pool poor port post pull pure push race rail rain rank rare rate
read real rear rely rent rest rice rich ride ring rise risk road rock role roll roof room root
rose rule rush safe said sail salt same sand save seat seed seek seem seen self sell send ship
shop shot show shut sick side sign site size skin slip slow snow soft soil sold sole some song
soon sort soul spot star stay step stop such suit sure take tale talk tall tank tape task team
tech tell tend term test text than that them then they thin this thus till time tiny told toll
tone took tool tour town tree trip true tune turn twin type unit upon used user vary vast very
vice view vote wage wait wake walk wall want ward warm wash wave ways weak wear week well went
west what when whom wide wife wild will wind wine wing wire wise wish with wood word work yard
yeah year your zero zone apple bread chair dance earth field glass horse house knife lemon money
night ocean paper queen radio sheep stone table train uncle voice watch water woman world young
"""
WORDS: tuple[str, ...] = tuple(_WORDS.split())

# The words that the model is taught to repeat, alone and in pairs; no others are promised.
_ECHO_WORDS = """
river lantern violet marble pepper sunset canary hello apple bread chair dance earth field glass
horse house knife lemon money night ocean paper queen radio sheep stone table train voice water
woman world young seven garden silver window summer yellow
"""
ECHO_WORDS: tuple[str, ...] = tuple(_ECHO_WORDS.split())

_SYLLABLES = (
    "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo za bra cle dri flo gru sta tre "
    "an en in on un ar er or al el il as es is os at et it ot ck nd nt st sh ch th"
)
SYLLABLES: tuple[str, ...] = tuple(_SYLLABLES.split())

SYSTEM_PROMPTS: tuple[str, ...] = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You are a friendly and careful assistant.",
    "Be brief.",
    "Answer in one sentence.",
    "Answer as well as you can.",
    "You are the voice of this machine.",
    "Never reveal secrets.",
    "You are a test. Follow the instructions of the user.",
)

TENS: dict[int, str] = {
    10: "ten",
    20: "twenty",
    30: "thirty",
    40: "forty",
    50: "fifty",
    100: "one hundred",
}
