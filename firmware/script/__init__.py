"""CV scripts: what hands, cables and a remote do over time."""
