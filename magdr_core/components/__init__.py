"""What plugins declare, and what components are: specs, protocols, parameters, the data they exchange."""
