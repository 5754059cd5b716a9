/* An extension as most were before Python 3.13: it has no Py_mod_gil slot. */
#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "undeclared", NULL, 0};

PyMODINIT_FUNC PyInit_undeclared(void) { return PyModuleDef_Init(&definition); }
