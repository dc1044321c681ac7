"""Evidence: a model and an image in, what every cell, word and local feature votes for a class out."""

from .voting import LayerVotes, Votes, feature_votes, votes

__all__ = ["LayerVotes", "Votes", "feature_votes", "votes"]
