from upsampler_bench.paper import published


def test_every_published_table_reads_with_as_many_fields_as_its_header() -> None:
    assert len(published.names()) == 12
    for name in published.names():
        assert published.rows(name)
        assert all(None not in row and None not in row.values() for row in published.rows(name)), name
