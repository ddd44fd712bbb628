"""Prints the versions of the peers that tests speak to pgflight with, in the form of requirements.txt."""

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow
import pyarrow.flight  # noqa: F401  (its being there is the point)

print(f"pyarrow=={pyarrow.__version__}")
print(f"adbc-driver-flightsql=={adbc_driver_flightsql.__version__}")
print(f"adbc-driver-manager=={adbc_driver_manager.__version__}")
