"""What is wrong with these predictions: faults that make numbers wrong, found before the numbers are published."""

from mcbench.doctor.diagnose import diagnose
from mcbench.doctor.findings import FAULTS, Diagnosis, Fault, Finding
from mcbench.doctor.folder import check_folder
from mcbench.doctor.truth import read_truth

__all__ = ["FAULTS", "Diagnosis", "Fault", "Finding", "check_folder", "diagnose", "read_truth"]
