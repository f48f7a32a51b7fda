"""From fluorophores and light to numbers: point-spread functions, camera, stage."""
