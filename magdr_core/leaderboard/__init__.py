"""A leaderboard: entries taken from run folders, one static page of them, and a check of a submission."""

from magdr_core.leaderboard.checking import check_run
from magdr_core.leaderboard.entries import LeaderboardEntry, entries_of, read_entries, write_entries
from magdr_core.leaderboard.page import write_board

__all__ = ["LeaderboardEntry", "check_run", "entries_of", "read_entries", "write_board", "write_entries"]
