"""The published runs again, beside what was published: a second product on the report's kit."""
