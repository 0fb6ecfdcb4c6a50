"""Pickled numpy arrays read without unpickling: a machine that knows a few opcodes and no imports.

Python's own unpickler, however restricted, takes memory for sizes that a file only claims (a memo
index is enough). This one keeps every size below that of the data, and builds plain values: dicts,
lists, text, numbers and numpy arrays of numbers.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BadFileError

if TYPE_CHECKING:
    import numpy as np

_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
_GLOBALS = ("_reconstruct", "scalar", "ndarray", "dtype")
_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_PUSH = {
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass
class _DType:
    code: str
    order: str = "="


class _Array:
    """An array under construction: a shell, until BUILD gives it a shape and its data."""

    def __init__(self) -> None:
        self.value: Any = None


class _Mark:
    pass


def read_pickle(data: bytes) -> Any:
    """Returns the value of a pickle of dicts, lists, tuples, text, numbers and numpy arrays.

    Raises:
        BadFileError: it is malformed, or would do anything beyond that.
    """
    try:
        return _Machine().run(data)
    except BadFileError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise BadFileError(f"the pickled part is malformed: {error}") from error


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name == "STOP":
                return _plain(self._stack.pop())
            if name in ("PROTO", "FRAME"):
                continue
            if name in _PUSH:
                self._stack.append(_CONSTANTS.get(name, argument))
                continue
            action: Callable[[Any], None] | None = getattr(self, f"_op_{name.lower()}", None)
            if action is None:
                raise BadFileError(f"the pickled part has {name}, which no array needs")
            action(argument)
        raise BadFileError("the pickled part does not end")

    def _op_global(self, argument: Any) -> None:
        module, _, name = argument.partition(" ")
        self._push_global(module, name)

    def _op_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_global(module, name)

    def _push_global(self, module: Any, name: Any) -> None:
        if _of(str, module) not in _MODULES or _of(str, name) not in _GLOBALS:
            text = f"{module}.{name}"[:100]
            raise BadFileError(f"the pickled part asks for {text}, which no array needs: refused")
        self._stack.append(_Global(name))

    def _op_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _op_binput(self, argument: Any) -> None:
        self._memo[argument] = self._stack[-1]

    _op_long_binput = _op_binput

    def _op_binget(self, argument: Any) -> None:
        self._stack.append(self._memo[argument])

    _op_long_binget = _op_binget

    def _op_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _op_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _op_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _op_mark(self, _: Any) -> None:
        self._stack.append(_Mark)

    def _op_tuple1(self, _: Any) -> None:
        self._stack[-1:] = [tuple(self._stack[-1:])]

    def _op_tuple2(self, _: Any) -> None:
        self._stack[-2:] = [tuple(self._stack[-2:])]

    def _op_tuple3(self, _: Any) -> None:
        self._stack[-3:] = [tuple(self._stack[-3:])]

    def _op_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _op_append(self, _: Any) -> None:
        value = self._stack.pop()
        _of(list, self._stack[-1]).append(value)

    def _op_appends(self, _: Any) -> None:
        values = self._since_mark()
        _of(list, self._stack[-1]).extend(values)

    def _op_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _of(dict, self._stack[-1])[_of(str, key)] = value

    def _op_setitems(self, _: Any) -> None:
        values = self._since_mark()
        target = _of(dict, self._stack[-1])
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_of(str, key)] = value

    def _op_reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        name = _of(_Global, function).name
        if name == "_reconstruct":
            self._stack.append(_Array())
        elif name == "dtype":
            self._stack.append(_DType(_of(str, arguments[0])))
        elif name == "scalar":
            dtype, raw = arguments
            self._stack.append(_numbers(dtype, (), raw).item())
        else:
            raise BadFileError(f"the pickled part calls {name}")

    def _op_build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, _DType):
            target.order = _of(str, state[1])
            return
        _, shape, dtype, fortran, raw = state
        array = _of(_Array, target)
        if dtype.code in ("O", "O8"):
            if shape != () or len(_of(list, raw)) != 1:
                raise BadFileError("the pickled part is an array of more than one object")
            array.value = raw[0]
        else:
            array.value = _numbers(dtype, shape, raw, fortran)

    def _since_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _Mark:
            values.append(value)
        return values[::-1]


def _numbers(dtype: Any, shape: Any, raw: Any, fortran: Any = False) -> "np.ndarray[Any, Any]":
    import numpy as np

    kind = _of(_DType, dtype)
    if kind.code not in _NUMBERS or kind.order not in ("<", ">", "|", "="):
        raise BadFileError(f"the pickled part has an array of type {kind.code[:20]!r}")
    values = np.frombuffer(_of(bytes, raw), np.dtype(kind.code).newbyteorder(kind.order))
    if len(_of(tuple, shape)) > 4 or not all(type(n) is int and n >= 0 for n in shape):
        raise BadFileError("the pickled part has an array of an impossible shape")
    return values.reshape(shape, order="F" if fortran else "C")


def _plain(value: Any) -> Any:
    """Takes arrays out of their shells: only as deep as our files go, so that no loop is met."""
    if isinstance(value, _Array):
        value = value.value
    if isinstance(value, dict):
        return {key: _plain_leaf(item) for key, item in value.items()}
    return value


def _plain_leaf(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_number(item) for key, item in value.items()}
    return _plain_number(value)


def _plain_number(value: Any) -> Any:
    value = value.value if isinstance(value, _Array) else value
    # Nothing nested comes out, so that no message can grow beyond the file.
    if value is None or isinstance(value, (bool, int, float, str)) or hasattr(value, "dtype"):
        return value
    raise BadFileError(f"the pickled part has a {type(value).__name__} among its values")


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise BadFileError(f"the pickled part has {type(value).__name__} for {kind.__name__}")
    return value
