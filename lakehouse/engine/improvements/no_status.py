"""Lets Spark keep no record of jobs, queries and rules that nobody reads.

Spark's own pages are off, for they have no login. It keeps all the same what they would show: each job, stage, task and metric
of a query, and a tree of its plan, anew whenever that is adapted. And it adds up how often and how long each rule of its
optimizer has run. Together 5 % of what an engine on small data computes (docs/performance.md).
"""

from typing import Any

from lakehouse.engine import javassist

_PLANS, _PLAN = (f"org.apache.spark.sql.execution.{name}" for name in ("SparkPlanInfo$", "SparkPlan"))
_RULES, _RULE = (f"org.apache.spark.sql.catalyst.rules.{name}" for name in ("QueryExecutionMetering", "Rule"))
"""Two classes to change, and one each of their package and class loader, which is loaded without them."""
_NO_PLAN = """{
    scala.collection.Seq none = (scala.collection.Seq) scala.collection.immutable.Nil$.MODULE$;
    return new org.apache.spark.sql.execution.SparkPlanInfo("", "", none, scala.Predef$.MODULE$.Map().empty(), none);
}"""
_NO_SUMS = "{ return new org.apache.spark.sql.catalyst.rules.QueryExecutionMetrics(0L, 0L, 0L, 0L); }"
_ADD = ("incExecutionTimeBy", "incTimeEffectiveExecutionBy", "incNumEffectiveExecution", "incNumExecution")


def install(spark: Any) -> None:
    """Has Spark keep no such record in the JVM of a classic session, by py4j. Once a JVM, before the first query.

    Raises what py4j raises where Spark keeps it otherwise than 3.5 does, or has begun to: whatever the cause, queries run as
    before.
    """
    context = spark._jsc.sc()
    stores = (context.statusStore(), spark._jsparkSession.sharedState().statusStore())
    for listener in [store.listener().get() for store in stores]:
        context.listenerBus().removeListener(listener)
    jvm = spark._jvm
    with javassist.changed(jvm, _PLANS, _PLAN) as plans:
        plans.getDeclaredMethod("fromSparkPlan").setBody(_NO_PLAN)
    with javassist.changed(jvm, _RULES, _RULE) as rules:
        rules.getDeclaredMethod("getMetrics").setBody(_NO_SUMS)
        for name in _ADD:
            rules.getDeclaredMethod(name).setBody("{}")
