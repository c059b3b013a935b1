"""Looking into trained models: probes, maps, a recorded device's place."""
