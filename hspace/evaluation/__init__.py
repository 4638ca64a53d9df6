"""Evaluation: what directions do to pictures, a batch at a time, by every metric there is."""

from hspace.evaluation.evaluated import Evaluation as Evaluation
from hspace.evaluation.running import SAMPLES as SAMPLES
from hspace.evaluation.running import evaluate as evaluate
from hspace.evaluation.running import evaluate_folders as evaluate_folders
