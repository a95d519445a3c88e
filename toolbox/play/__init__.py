"""See the renditions of your own pictures in a browser, and tune renditions.toml.

Each module knows only those after it::

    server       the page and its requests on 127.0.0.1: who may ask, and what is answered
    report       the same page as one file, without a server
    session      the pictures, the recipe, the work, and what the page is told, together
    schedule     what is to be done next, for a process that is free
    jobs         requests for the processes, and what is done with their messages
    cells        what the page shows of a picture under a recipe
    feed         what the browsers are told: everything at first, then what changes
    recipe_file  renditions.toml as it is saved, and as the page edits it
    pictures     the pictures of the page, and what is known of each
    engine       processes that render, one per core; one that hangs or dies is replaced
    worker       what runs in such a process: the function's own engine, request by request
    messages     what the server and its processes say to each other
    draft        the text of renditions.toml -> columns, or its mistakes with their lines
    metadata     what an image says besides its pixels, in words
    assets       the files of the page, and where the browser finds each module
"""
