"""Lets Spark measure the code that it generates without regular expressions.

Before Spark puts generated code together it asks for each piece how long it is without comments and blank lines, to tell where a
method should end. It makes a copy by two regular expressions, compiled anew for each piece, takes its length, and throws
it away: 6 % of what an engine on small data computes (docs/performance.md). Here a loop finds the blank lines of what has no
comment, which nearly all has.
"""

from typing import Any

from lakehouse.engine import javassist

_FORMATTER = "org.apache.spark.sql.catalyst.expressions.codegen.CodeFormatter$"
_NEIGHBOUR = "org.apache.spark.sql.catalyst.expressions.codegen.CodegenContext"
"""A class of the same package and class loader, which is loaded without the formatter's."""
_METHOD = "stripExtraNewLinesAndComments"
_WITHOUT_BLANK_LINES = r"""
private static String withoutBlankLines(String code) {
    StringBuffer kept = null;
    int copied = 0;
    int at = code.indexOf(10);
    while (at >= 0) {
        int last = at;
        int next = at + 1;
        while (next < code.length() && (code.charAt(next) == 32 || (code.charAt(next) >= 9 && code.charAt(next) <= 13))) {
            if (code.charAt(next) == 10) last = next;
            next++;
        }
        if (last > at) {
            if (kept == null) kept = new StringBuffer(code.length());
            kept.append(code.substring(copied, at + 1));
            copied = last + 1;
        }
        at = code.indexOf(10, next);
    }
    return kept == null ? code : kept.append(code.substring(copied)).toString();
}
"""
"""What Spark's second expression does, which makes one line break of several with nothing but white space between them."""
_FIRST = '{ if ($1.indexOf("/*") < 0 && $1.indexOf("//") < 0) return withoutBlankLines($1); }'


def install(spark: Any) -> None:
    """Has Spark do so in the JVM of a classic session, by py4j. Once a JVM, before the first query.

    Raises what py4j raises where Spark has another formatter than the one of 3.5, or has used it already: whatever the cause,
    code is measured as before.
    """
    jvm = spark._jvm
    with javassist.changed(jvm, _FORMATTER, _NEIGHBOUR) as formatter:
        javassist.add_method(jvm, formatter, _WITHOUT_BLANK_LINES)
        formatter.getDeclaredMethod(_METHOD).insertBefore(_FIRST)
