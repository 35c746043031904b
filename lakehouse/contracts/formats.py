"""The formats of ODCS `logicalTypeOptions` that can be checked: of text as patterns, of integers as ranges."""

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_H16 = "[0-9a-fA-F]{1,4}"
_LS32 = rf"({_H16}:{_H16}|{_IPV4})"
_IPV6 = "|".join(  # RFC 3986, appendix A
    [
        rf"({_H16}:){{6}}{_LS32}",
        rf"::({_H16}:){{5}}{_LS32}",
        rf"({_H16})?::({_H16}:){{4}}{_LS32}",
        rf"(({_H16}:){{0,1}}{_H16})?::({_H16}:){{3}}{_LS32}",
        rf"(({_H16}:){{0,2}}{_H16})?::({_H16}:){{2}}{_LS32}",
        rf"(({_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}",
        rf"(({_H16}:){{0,4}}{_H16})?::{_LS32}",
        rf"(({_H16}:){{0,5}}{_H16})?::{_H16}",
        rf"(({_H16}:){{0,6}}{_H16})?::",
    ]
)
FORMATS = {
    "byte": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
    "hostname": r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$",
    "ipv4": rf"^{_IPV4}$",
    "ipv6": rf"^({_IPV6})$",
}
"""Formats of text, each as a pattern. (`password` and `binary` of the standard ask nothing of a value.)"""
EPOCHS = ("epoch_millis", "epoch_micros")
"""Formats of timestamps that arrive as numbers."""
FRACTIONS = {"f32": "float", "f64": "double"}
"""Formats of fractions, each with the type that is meant."""
_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}


def integer_range(format_: str) -> tuple[int, int] | None:
    """The least and the greatest value of a format such as `i16` or `u8`; None where it is none that Spark can hold."""
    sign, bits = format_[:1], format_[1:]
    if sign not in ("i", "u") or bits not in ("8", "16", "32", "64"):
        return None
    return (-(2 ** (int(bits) - 1)), 2 ** (int(bits) - 1) - 1) if sign == "i" else (0, 2 ** int(bits) - 1)


def type_range(spark_type: str) -> tuple[int, int]:
    """The least and the greatest whole number of an integer or decimal type."""
    if spark_type in _BITS:
        return -(2 ** (_BITS[spark_type] - 1)), 2 ** (_BITS[spark_type] - 1) - 1
    digits = int(spark_type.removeprefix("decimal(").partition(",")[0])
    return -(10**digits - 1), 10**digits - 1


INTEGER_FORMATS = tuple(f"{sign}{bits}" for sign in "iu" for bits in (8, 16, 32, 64))
