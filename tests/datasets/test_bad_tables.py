"""Damaged lists, tables and series: found early, named, and left as they lie."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.test_bad_data import refused
from torchgeo_copernicus.datasets.bench import DATASETS

Rows = list[list[str]]
Copy = Callable[[str], Path]
TABLES = pytest.mark.parametrize('task', ['bigearthnet_s1', 'bigearthnet_s2', 'lc100cls_s3'])
SERIES = pytest.mark.parametrize('task', ['lc100cls_s3', 'lc100seg_s3', 'biomass_s3'])
CHOSEN = pytest.mark.parametrize('task', ['lc100seg_s3', 'biomass_s3', 'lc100cls_s3'])
LISTS = pytest.mark.parametrize(
    'task', ['cloud_s3', 'eurosat_s1', 'dfc2020_s1', 'dfc2020_s2', 'aq_no2_s5p', 'aq_o3_s5p']
)


def root_of(path: Path) -> Path:
    (root,) = [parent for parent in path.parents if parent.name == 'copy']
    return root


def edit(path: Path, change: Callable[[Rows], object]) -> None:
    """Change the cells of a table in place."""
    with path.open(newline='') as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open('w', newline='') as file:
        csv.writer(file, lineterminator='\n').writerows(rows)


def static_list(path: Path) -> Path:
    return path.with_name('static_fnames-train.csv')


# Tables of labels


@TABLES
@pytest.mark.parametrize('column', [0, 5, -1])
def test_a_table_with_a_missing_column_is_named(copy: Copy, task: str, column: int) -> None:
    path = copy(task)
    edit(path, lambda rows: [row.pop(column) for row in rows])
    with refused(root_of(path), path, 'columns'):
        DATASETS[task](root_of(path))


@TABLES
def test_a_table_with_a_column_too_many_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    edit(path, lambda rows: [row.append('0') for row in rows])
    with refused(root_of(path), path, 'columns'):
        DATASETS[task](root_of(path))


@TABLES
@pytest.mark.parametrize('cell', ['2', '-1', '', 'nan', '0.5', 'True', ' 1'])
def test_a_label_that_is_not_0_or_1_is_named(copy: Copy, task: str, cell: str) -> None:
    path = copy(task)

    def change(rows: Rows) -> None:
        rows[2][-3] = cell

    edit(path, change)
    with refused(root_of(path), path, 'label', 'allowed are 0 and 1'):
        DATASETS[task](root_of(path))


@TABLES
def test_a_row_that_is_cut_off_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    text = path.read_text()
    path.write_text(text[: len(text) - 9])
    with refused(root_of(path), path):
        DATASETS[task](root_of(path))


@TABLES
@pytest.mark.parametrize('keep', [slice(0, 0), slice(0, 1)])
def test_a_table_without_rows_is_named(copy: Copy, task: str, keep: slice) -> None:
    path = copy(task)
    path.write_text(''.join(path.read_text().splitlines(True)[keep]))
    with refused(root_of(path), path):
        DATASETS[task](root_of(path))


@TABLES
def test_a_table_with_an_open_quote_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    path.write_text(path.read_text() + '"')
    with refused(root_of(path), path):
        DATASETS[task](root_of(path))


@TABLES
def test_a_place_listed_twice_with_labels_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    edit(path, lambda rows: rows.append(rows[1]))
    with refused(root_of(path), path, 'twice'):
        DATASETS[task](root_of(path))


@TABLES
def test_a_table_without_its_header_does_not_lose_a_row(copy: Copy, task: str) -> None:
    path = copy(task)
    edit(path, lambda rows: rows.pop(0))
    with refused(root_of(path), path):
        DATASETS[task](root_of(path))


@pytest.mark.parametrize('task', ['bigearthnet_s1', 'bigearthnet_s2'])
def test_classes_of_bigearthnet_in_another_order_are_named(copy: Copy, task: str) -> None:
    path = copy(task)

    def swap(rows: Rows) -> None:
        for row in rows:
            row[2], row[20] = row[20], row[2]

    edit(path, swap)
    with refused(root_of(path), path, 'order', 'Marine waters'):
        DATASETS[task](root_of(path))


def test_codes_of_lc100_in_another_order_are_named(copy: Copy) -> None:
    path = copy('lc100cls_s3')

    def swap(rows: Rows) -> None:
        for row in rows:
            row[1], row[23] = row[23], row[1]

    edit(path, swap)
    with refused(root_of(path), path, 'order'):
        DATASETS['lc100cls_s3'](root_of(path))


@pytest.mark.parametrize('task', ['bigearthnet_s1', 'bigearthnet_s2'])
def test_a_table_that_names_a_missing_image_is_named(copy: Copy, task: str) -> None:
    path = copy(task)

    def change(rows: Rows) -> None:
        rows[2][0] = rows[2][1] = 'S2A_nowhere.tif'

    edit(path, change)
    with refused(root_of(path), path, 'S2A_nowhere.tif', '1 files'):
        DATASETS[task](root_of(path))


def test_a_place_with_labels_but_no_image_is_named(copy: Copy) -> None:
    path = copy('lc100cls_s3')

    def rename(rows: Rows) -> None:
        rows[2][0] = '99999_0.00_0.00'

    edit(path, rename)
    with refused(root_of(path), path, static_list(path), '99999_0.00_0.00', '1 places'):
        DATASETS['lc100cls_s3'](root_of(path))
    with refused(root_of(path), '99999_0.00_0.00', '0 images'):
        DATASETS['lc100cls_s3'](root_of(path), mode='time-series')  # type: ignore[call-arg]


# Lists of places and images


@pytest.mark.parametrize('task', ['cloud_s3', 'bigearthnet_s2', 'lc100seg_s3', 'flood_s1'])
def test_a_list_that_is_not_text_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    path.write_bytes(b'PK\x03\x04\xff\xfe\x80' + path.read_bytes())
    with refused(root_of(path), path):
        DATASETS[task](root_of(path))


@pytest.mark.parametrize('task', sorted(set(DATASETS) - {'lcz_s2'}))
def test_a_missing_list_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    path.unlink()
    with refused(root_of(path), path, 'half extracted'):
        DATASETS[task](root_of(path))


@LISTS
def test_a_list_that_names_a_missing_file_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    first = path.read_text().split()[0]
    # Of a class that exists, for EuroSAT.
    nowhere = first.replace(first.split('_')[1], 'nowhere')
    path.write_text(path.read_text() + f'{nowhere}\n')
    with refused(root_of(path), path, nowhere.split('.jpg')[0].split('dfc')[0], 'missing'):
        DATASETS[task](root_of(path))


def test_a_list_of_cloud_s3_without_the_ending_is_named(copy: Copy) -> None:
    path = copy('cloud_s3')
    path.write_text(path.read_text().replace('.tif', ''))
    with refused(root_of(path), path, '6 files'):
        DATASETS['cloud_s3'](root_of(path))


def test_a_static_list_without_a_place_that_has_labels_is_named(copy: Copy) -> None:
    path = static_list(copy('lc100cls_s3'))
    lost, *lines = path.read_text().splitlines()
    path.write_text('\n'.join(lines))
    with refused(root_of(path), path, lost.split(',')[0], '1 places'):
        DATASETS['lc100cls_s3'](root_of(path))


@CHOSEN
@pytest.mark.parametrize(
    ('line', 'word'),
    [('99999_0.00_0.00', 'place and a file'), ('a,b,c', 'place and a file'), (None, 'twice')],
)
def test_a_line_of_a_static_list_that_cannot_be_is_named(
    copy: Copy, task: str, line: str | None, word: str
) -> None:
    path = static_list(copy(task))
    text = path.read_text()
    path.write_text(text + (text.splitlines()[0] if line is None else line))
    with refused(root_of(path), path, word):
        DATASETS[task](root_of(path))


@CHOSEN
def test_a_static_list_that_names_a_missing_image_is_named(copy: Copy, task: str) -> None:
    path = static_list(copy(task))
    line = path.read_text().splitlines()[0]
    place = line.split(',')[0]
    path.write_text(path.read_text().replace(line, f'{place},S3A_20990101T000000.tif'))
    missing = path.parent / 's3_olci' / place / 'S3A_20990101T000000.tif'
    with refused(root_of(path), missing, '1 files'):
        DATASETS[task](root_of(path))


@pytest.mark.parametrize(('task', 'folder'), [('lc100seg_s3', 'lc100'), ('biomass_s3', 'biomass')])
@pytest.mark.parametrize('mode', ['static', 'time-series'])
def test_a_missing_map_is_found_at_construction(
    copy: Copy, task: str, folder: str, mode: str
) -> None:
    path = copy(task)
    place = static_list(path).read_text().split(',')[0]
    missing = path.parent / folder / f'{place}.tif'
    missing.unlink()
    with refused(root_of(path), missing, '1 files'):
        DATASETS[task](root_of(path), mode=mode)  # type: ignore[call-arg]


# Series


@SERIES
@pytest.mark.parametrize('number', [0, 5])
def test_a_series_of_no_or_five_images_is_named(copy: Copy, task: str, number: int) -> None:
    path = copy(task)
    place = static_list(path).read_text().split(',')[0]
    folder = path.parent / 's3_olci' / place
    content = next(folder.iterdir()).read_bytes()
    for image in folder.iterdir():
        image.unlink()
    for month in range(1, 1 + number):
        (folder / f'S3A_20190{month}01T101010.tif').write_bytes(content)
    with refused(root_of(path), folder, f'{number} images', '1 to 4'):
        DATASETS[task](root_of(path), mode='time-series')  # type: ignore[call-arg]


@SERIES
def test_a_series_without_its_folder_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    place = static_list(path).read_text().split(',')[0]
    shutil.rmtree(path.parent / 's3_olci' / place)
    with refused(root_of(path), path.parent / 's3_olci' / place, '0 images'):
        DATASETS[task](root_of(path), mode='time-series')  # type: ignore[call-arg]


@SERIES
def test_an_image_of_a_series_without_a_date_is_named(copy: Copy, task: str) -> None:
    path = copy(task)
    place = static_list(path).read_text().split(',')[0]
    image = next((path.parent / 's3_olci' / place).iterdir())
    image.rename(image.with_name('S3A_summer.tif'))
    with refused(root_of(path), image.with_name('S3A_summer.tif'), 'date'):
        DATASETS[task](root_of(path), mode='time-series')  # type: ignore[call-arg]


@pytest.mark.parametrize('task', ['aq_no2_s5p', 'aq_o3_s5p'])
@pytest.mark.parametrize('there', [True, False])
def test_a_folder_without_seasons_is_named(copy: Copy, task: str, there: bool) -> None:
    path = copy(task)
    folder = path.parent / 's5p_seasonal' / path.read_text().split()[1]
    for number, image in enumerate(sorted(folder.iterdir())):
        image.rename(folder / f'{number}.tif')
    if not there:
        shutil.rmtree(folder)
    with refused(root_of(path), folder, '2021-01-01_2021-04-01.tif'):
        DATASETS[task](root_of(path), mode='seasonal')  # type: ignore[call-arg]
    # The annual mean is not affected.
    assert len(DATASETS[task](root_of(path))) == 3


@pytest.mark.parametrize('task', ['aq_no2_s5p', 'aq_o3_s5p'])
@pytest.mark.parametrize(
    ('folder', 'ending'), [('s5p_annual', '/2021-01-01_2021-12-31.tif'), ('label_annual', '.tif')]
)
def test_a_missing_annual_mean_or_label_is_found_at_construction(
    copy: Copy, task: str, folder: str, ending: str
) -> None:
    path = copy(task)
    missing = Path(f'{path.parent / folder / path.read_text().split()[1]}{ending}')
    missing.unlink()
    with refused(root_of(path), missing, '1 files'):
        DATASETS[task](root_of(path))
