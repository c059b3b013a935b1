"""What plugins share: an instrument in a host that asks for any number of samples, and its tables."""
