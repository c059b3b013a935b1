"""What a bench run says: files, terminal and page."""
