"""OpenAPI documents of an app's routes, and the pages that show them."""
