"""What somebody asks for and another must agree to: promotions, and whatever else registers."""
