"""The worksheets: what stands in them, and the two writers, Google Sheets and a workbook file."""
