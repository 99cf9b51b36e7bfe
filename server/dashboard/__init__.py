"""Many campaigns on one page: `bitfleet dashboard`, and a sweep's self-contained `report.html`."""
