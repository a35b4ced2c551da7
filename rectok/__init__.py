"""RecTok: visual tokenizers with semantics along the whole flow, and diffusion transformers on top of them."""
