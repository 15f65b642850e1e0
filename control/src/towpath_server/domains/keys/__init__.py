"""What programs call with: API keys and service accounts, which are one thing to the gateway."""
