"""The pages of the project, and the programs that keep and publish them."""
