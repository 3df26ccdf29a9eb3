"""How fast is Tocsin beside a real Alertmanager, in one run on one machine?

    python -m benchmarks                     all measures, one after the other
    python -m benchmarks --only storm        one of them
    python -m benchmarks --write             and put the table into docs/performance.md

bodies → load → (alertmanager | tocsin) → sink; `measures` reads both ends, `report` judges.
The load generator and the sink are processes of their own, so that neither slows what is measured
by more than the machine's cores force it to.
"""
