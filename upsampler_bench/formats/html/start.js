// What works the page, begun in the order in which a reader meets it.

document.documentElement.classList.add('scripts');
startTheme();
document.querySelectorAll('.base').forEach((one) => { one.textContent = report.baseline || 'baseline'; });
startTables();
startFilters();
startChooser();
startExplorer();
startPictures();
startPrinting();
performance.mark('interactive');
