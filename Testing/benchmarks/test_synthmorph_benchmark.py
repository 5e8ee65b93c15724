"""The random files that SynthMorph is measured with have the layout of the published ones."""

from __future__ import annotations

from VoxelMorphLib.weights.catalogue import find_entry
from VoxelMorphLib.weights.keras import network_from_keras
from VoxelMorphLib.weights.load import load_network

from benchmarks import synthmorph
from benchmarks.child import run_child


def test_the_random_files_of_synthmorph_are_read_as_the_published_ones(tmp_path):
    arguments = synthmorph._arguments(synthmorph.DEFORM, 4)
    path = synthmorph.write_hypernetwork(tmp_path / "deform.h5", arguments)
    network = network_from_keras(path, hyperparameters=0.3, **find_entry(synthmorph.DEFORM).arguments)
    assert network.options["enc_nf"] == [4] * 4 and network.options["add_nf"] == [4] * 4 and network.hyp_num == 0
    for model in (synthmorph.BRAINS, synthmorph.AFFINE, synthmorph.DEFORM, synthmorph.JOINT):
        _network, entry = load_network(synthmorph.write_random(tmp_path / "a.safetensors", model, 4, 32))
        assert entry.space.shape == (32, 32, 32) and entry.architecture == find_entry(model).architecture


def test_every_stage_of_a_registration_is_measured(tmp_path):
    file = synthmorph.write_random(tmp_path / "a.safetensors", synthmorph.BRAINS, 4, 32)
    stages = run_child(synthmorph._REGISTER, [str(file), "32"])["stages"]
    assert list(stages) == ["load", "affine", "network", "resample", "measure"]
    assert all(seconds >= 0 and peak > 1e7 for seconds, peak in stages.values())
