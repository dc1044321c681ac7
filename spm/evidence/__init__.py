"""Evidence: a model and an image in, what every cell, word and local feature votes for a class out."""

from .voting import LayerVotes, Votes, class_votes, feature_votes, votes

__all__ = ["LayerVotes", "Votes", "class_votes", "feature_votes", "votes"]
