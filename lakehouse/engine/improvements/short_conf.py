"""Lets Hadoop's configuration travel short.

Each query that reads or writes files sends a copy of it to each of its stages, and each task reads it: a thousand entries, half
of them of YARN, which is not here, a seventh of other servers, and for each one, compressed on its own, from which
file it came. Writing it took 8.7 ms in a young JVM, and takes a fifth of that (docs/performance.md). What is not a default stays, and
what names a class that nothing else does.
"""

from typing import Any

from lakehouse.engine import janino

_SHORTER = """
package lakehouse;

import org.apache.hadoop.conf.Configuration;

public class ShortConf {
    private static final String[] NOT_HERE = {
        "yarn.", "mapreduce.jobhistory.", "mapreduce.reduce.", "mapreduce.shuffle.", "ipc.", "ha.", "hadoop.http.",
        "hadoop.registry.", "hadoop.zk."
    };

    public static void shorten(Configuration conf) throws Exception {
        // Whoever adds defaults or says that a name is deprecated has every configuration read anew: they are loaded first.
        Class.forName("org.apache.hadoop.mapred.JobConf");
        org.apache.hadoop.fs.FileSystem.getFileSystemClass("file", conf);
        String s3 = conf.get("fs.s3a.impl", "");
        if (ShortConf.class.getClassLoader().getResource(s3.replace('.', '/') + ".class") != null) Class.forName(s3);
        for (int area = 0; area < NOT_HERE.length; area++) {
            Object[] names = conf.getPropsWithPrefix(NOT_HERE[area]).keySet().toArray();
            for (int i = 0; i < names.length; i++) {
                String name = NOT_HERE[area] + names[i];
                String[] from = conf.getPropertySources(name);
                if (from != null && from[from.length - 1].endsWith("-default.xml")) conf.unset(name);
            }
        }
        java.lang.reflect.Field origins = Configuration.class.getDeclaredField("updatingResource");
        origins.setAccessible(true);
        origins.set(conf, null);
    }
}
"""


def install(spark: Any) -> None:
    """Shortens the configuration of a classic session's JVM, of which all others are made, by py4j. Idempotent.

    Raises what py4j raises where Hadoop has another configuration than the one of Spark 3.5: whatever the cause, it travels as
    it is.
    """
    jvm = spark._jvm
    loader = janino.compiled(jvm, _SHORTER).getClassLoader()
    shorten = loader.loadClass("lakehouse.ShortConf").getDeclaredMethods()[0]
    shorten.invoke(None, jvm.PythonUtils.toArray([spark._jsc.hadoopConfiguration()]))
