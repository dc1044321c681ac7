"""Evaluation: models and labelled images in, figures over splits out."""
