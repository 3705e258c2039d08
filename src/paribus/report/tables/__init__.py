"""Tables as Markdown, LaTeX, HTML or CSV, each with its source, so that a paper can be verified."""
