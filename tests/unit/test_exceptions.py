from image_scaler import exceptions


def test_the_tree_of_exceptions_names_every_exception() -> None:
    tree = str(exceptions.__doc__)
    classes = [value for value in vars(exceptions).values() if isinstance(value, type)]
    assert classes
    for class_ in classes:
        assert class_.__name__ in tree
        assert issubclass(class_, exceptions.ImageScalerError)
