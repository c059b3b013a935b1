"""The layer between panel and model, as an instrument file asks for it."""
