"""Pictures of a benchmark as files for others: clean, attacked, restored, with a card."""

from magdr_core.export.exporting import Export, Exported

__all__ = ["Export", "Exported"]
