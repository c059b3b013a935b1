"""What carries an instrument: one folder per board or machine."""
