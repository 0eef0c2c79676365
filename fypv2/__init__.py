"""The reference model of Follow-Your-Pose v2."""
