"""mintflow: knowledge of a multimodal teacher for a unimodal language model.

One module per concept of the field; nothing is imported here, so that a rule
pays only for what it uses.
"""

__version__ = "0.1.0"
