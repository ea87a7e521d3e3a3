"""Writes the MAT-files of test/golden/mat-files with SciPy, which is independent of our reader.

Run: python3 test/golden/make-mat-files.py   (needs numpy and scipy; made with scipy 1.17.1, numpy 2.4.6)
The names and numbers are made up; only the format is that of Cars196.
"""

import os

import numpy as np
from scipy.io import savemat

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mat-files")
CLASSES = [f"Make{i // 10} Model{i} {['Sedan', 'SUV', 'Crew Cab'][i % 3]} {1990 + i % 23}" for i in range(196)]
CLASSES[0] = "AM General Hummer SUV 2000"
CLASSES[98] = "Dodge Ram Pickup 3500 Quad Cab 2009"
CLASSES[195] = "smart fortwo Convertible 2012"


def cells(texts):
    array = np.empty((1, len(texts)), dtype=object)
    for index, text in enumerate(texts):
        array[0, index] = text
    return array


def annotations(rows, path_field, with_flag):
    fields = ([(path_field, object)] if with_flag else []) + [
        (name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class")
    ]
    fields += [("test", object)] if with_flag else [(path_field, object)]
    array = np.empty((1, len(rows)), dtype=fields)
    for index, (path, box, label, test) in enumerate(rows):
        array[0, index][path_field] = path
        for name, value in zip(("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), box):
            array[0, index][name] = np.uint16(value)
        array[0, index]["class"] = np.uint8(label)
        if with_flag:
            array[0, index]["test"] = np.uint8(test)
    return array


rows = [
    ("car_ims/000001.jpg", (112, 7, 853, 717), 1, 0),
    ("car_ims/000002.jpg", (48, 24, 441, 202), 1, 1),
    ("car_ims/000003.jpg", (7, 4, 277, 180), 98, 0),
    ("car_ims/000004.jpg", (33, 50, 197, 150), 99, 1),
    ("car_ims/000005.jpg", (5, 8, 83, 58), 99, 0),
    ("car_ims/000006.jpg", (60, 7, 60, 7), 196, 1),
]
os.makedirs(FOLDER, exist_ok=True)
for compressed in (False, True):
    name = "cars-compressed.mat" if compressed else "cars.mat"
    savemat(
        os.path.join(FOLDER, name),
        {"annotations": annotations(rows, "relative_im_path", True), "class_names": cells(CLASSES)},
        do_compression=compressed,
    )
for name, part in (("train", rows[:3]), ("test", rows[3:])):
    savemat(
        os.path.join(FOLDER, f"devkit-{name}.mat"),
        {"annotations": annotations([(p.split("/")[1], *rest) for p, *rest in part], "fname", False)},
        do_compression=True,
    )
savemat(os.path.join(FOLDER, "devkit-meta.mat"), {"class_names": cells(CLASSES)}, do_compression=True)

numbers = {
    f"{kind}_matrix": np.array([[1, 2, 3], [4, 5, 127]], dtype=kind)
    for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
}
savemat(
    os.path.join(FOLDER, "kinds.mat"),
    {
        **numbers,
        "negative": np.array([[-1, -128]], dtype=np.int8),
        "fraction": np.array([[0.1]]),
        "truth": np.array([[True, False]]),
        "cube": np.arange(24, dtype=np.float64).reshape(2, 3, 4),
        "nothing": np.zeros((0, 0)),
        "text": "grüße, 自動車",
        "lines": np.array(["one ", "four"]),
        "empty_text": "",
        "nested": cells([cells(["deep"]), np.array([[7]])]),
        "record": {"name": "x", "inner": {"value": 3.5}},
    },
)
savemat(os.path.join(FOLDER, "complex.mat"), {"z": np.array([[1 + 2j]])})
from scipy.sparse import csc_matrix  # noqa: E402

savemat(os.path.join(FOLDER, "sparse.mat"), {"s": csc_matrix(np.eye(3))})
savemat(os.path.join(FOLDER, "level-4.mat"), {"x": np.array([[1.0]])}, format="4")
