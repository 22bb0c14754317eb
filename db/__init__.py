"""What Atelier remembers: jobs, pictures, charges, deliveries and settings. The only room that speaks SQL."""
