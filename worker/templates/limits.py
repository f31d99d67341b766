"""How much a template may be, and how much one filling may do."""

PROMPT_CHARACTERS = 8_000
"""Of a template's text, and of the prompt that comes out."""
NODES = 1_000
"""Words of the language in one template, as its parser counts them: compiling that many takes a tenth of a second."""
DEPTH = 30
"""Nodes inside one another. Python's own compiler nests blocks 20 deep at most."""
BLOCKS = 8
"""`if` and `for` inside one another."""
STEPS = 10_000
"""Words carried out in one filling, each turn of a loop counted: some milliseconds."""
CHARACTERS = 200_000
"""Characters made or read through in one filling; at four bytes each that stays below a megabyte."""
VALUE_CHARACTERS = 32_000
"""Of any one text, given or made on the way: a product's description may be longer than a prompt, and is cut short."""
GIVEN_CHARACTERS = 64_000
"""Of everything given for one filling."""
LARGEST = 10**15
"""Numbers up to here are exact as floats, and products of them cheap."""
ITEMS = 200
"""Of a list that is given."""
VARIABLES = 50
NAME_CHARACTERS = 64
DESCRIPTION_CHARACTERS = 500
TEXT_CHARACTERS = 2_000
"""Of a text variable whose declaration says nothing else."""
