enum FleetRoom {}
