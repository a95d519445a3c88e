"""`image-scaler plan` and `apply`: what a changed recipe makes of the existing sources.

The path of a plan, in this order::

    listing      the objects of a bucket, in order, one page in memory at a time
    inventory    the same from an S3 Inventory report
    states       which version and which recipe each manifest is of
    recipes      the recipes that were used before
    changes      what is made, rewritten, kept and left over of each source
    leftovers    what exists although no recipe asks for it any more
    stored       what exists: manifests and renditions
    sampling     bytes and time of some real sources under the new recipe
    visual_diff  which renditions look different, and how much
    costs        dollars and hours
    planner      all of it, for a stack
    files        plan.json and its lists
    report       the plan for people
    limiter      calls AWS in parallel, and waits while it refuses calls
    apply        sends the sources of a plan to the function
    batch        the same by S3 Batch Operations
    apply_report what people see of apply while it works
"""
